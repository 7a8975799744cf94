"""Moving trees of files to and from the server: hash, ask, send what is missing, fetch, prove."""
