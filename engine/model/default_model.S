// The default model's three files, byte for byte, in read-only memory. CMake defines the three paths
// and assembles this again when a file changes.

    .macro embed name, path
    .balign 64
    .globl cairn_default_\name\()_begin
    .hidden cairn_default_\name\()_begin
cairn_default_\name\()_begin:
    .incbin "\path"
    .globl cairn_default_\name\()_end
    .hidden cairn_default_\name\()_end
cairn_default_\name\()_end:
    .endm

    .section .rodata.cairn_default_model, "a", @progbits
    embed config, CAIRN_MODEL_CONFIG
    embed safetensors, CAIRN_MODEL_SAFETENSORS
    embed tokenizer, CAIRN_MODEL_TOKENIZER

    .section .note.GNU-stack, "", @progbits
