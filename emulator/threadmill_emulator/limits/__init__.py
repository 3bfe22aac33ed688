"""The limits of the server: what each key and model has used, refusals. For http/; imports scripting/ and errors/."""
