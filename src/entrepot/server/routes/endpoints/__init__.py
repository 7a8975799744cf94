"""Routes of what serves models, and of the gateways before it."""
