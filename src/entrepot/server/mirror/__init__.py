"""A mirror of az's extensions that holds one: ours."""
