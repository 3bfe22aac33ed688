"""PURE: reads and checks what a model wrote: text, sources, JSON. Imports no other room."""
