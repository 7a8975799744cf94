"""What YAML files may say, as tables of checks; a check returns the value in the type that its place asks for."""
