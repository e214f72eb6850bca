"""Generates the stubs, and asks for the runtime that they need; all else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))
import generate  # noqa: E402

# In a source distribution there is no proto/, but the stubs that were made when it was packed.
if generate.PROTO.is_dir():
    generate.generate()
setup(install_requires=generate.requirements())
