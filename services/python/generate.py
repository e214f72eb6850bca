#!/usr/bin/env python3
"""Makes cairn_client/v1 from proto/cairn/v1, with grpcio-tools; installing the package does it too.

The modules of google.rpc, google.longrunning and google.api come from googleapis-common-protos:
two copies of one message cannot live in one program.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
STUBS = HERE / "cairn_client" / "v1"


def generate() -> None:
    """Writes the stubs anew. Raises RuntimeError where protoc refuses the files."""
    from grpc_tools import protoc

    files = sorted(str(p.relative_to(PROTO)) for p in (PROTO / "cairn" / "v1").glob("*.proto"))
    well_known = str(Path(protoc.__file__).resolve().parent / "_proto")
    with tempfile.TemporaryDirectory() as made:
        arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={made}",
                     f"--pyi_out={made}", f"--grpc_python_out={made}", *files]
        if protoc.main(arguments) != 0:
            raise RuntimeError("protoc failed")
        STUBS.mkdir(exist_ok=True)
        for old in STUBS.glob("*.py*"):
            old.unlink()
        for path in sorted((Path(made) / "cairn" / "v1").iterdir()):
            # Names of modules follow the files' place; ours is in the package.
            text = re.sub(r"^from cairn\.v1 import", "from cairn_client.v1 import",
                          path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            (STUBS / path.name).write_text(text, encoding="utf-8")
        (STUBS / "__init__.py").write_text('"""Messages and stubs of cairn.v1, generated."""\n',
                                           encoding="utf-8")


def requirements() -> list[str]:
    """What the stubs need to run: not less than the versions that generated them."""
    messages = (STUBS / "search_pb2.py").read_text(encoding="utf-8")
    services = (STUBS / "search_pb2_grpc.py").read_text(encoding="utf-8")
    protobuf = re.search(r"^# Protobuf Python Version: ([0-9.]+)", messages, re.MULTILINE)
    grpcio = re.search(r"^GRPC_GENERATED_VERSION = '([0-9.]+)'", services, re.MULTILINE)
    return ["protobuf>=" + (protobuf.group(1) if protobuf else "4.21"),
            "grpcio>=" + (grpcio.group(1) if grpcio else "1.51"),
            "googleapis-common-protos>=1.60"]


if __name__ == "__main__":
    generate()
    sys.stdout.write("\n".join(requirements()) + "\n")
