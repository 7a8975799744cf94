"""Endpoints: what serves models. Online ones live here, replicas and batch endpoints in packages of their own."""
