"""From YAML to the server: uploads what a file refers to, creates what it needs, then the thing itself."""
