"""The servers that are checked, by name."""

from servers import emulated, litellm, llama_cpp, ogx, openapi

KINDS = {kind.name: kind for kind in (*litellm.KINDS, *ogx.KINDS, *llama_cpp.KINDS, *openapi.KINDS, *emulated.KINDS)}
