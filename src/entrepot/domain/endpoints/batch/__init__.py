"""Batch endpoints: names under which deployments of models and of pipelines are invoked; each invocation is a job."""
