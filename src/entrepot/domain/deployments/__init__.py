"""ARM template deployments: the template language, and the resources that it may create here."""
