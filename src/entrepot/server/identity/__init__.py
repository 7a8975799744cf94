"""The signing side of the authority: keys, tokens, pages and outside providers. Who may have what is the domain's."""
