"""The replica host: serves a deployment's score.py or MLflow model over HTTP, run by the user's own interpreter.

It is copied, with uvicorn, into a folder beside the user's environment (`requirements.txt` here is its lock) and
appended to the module path, so that nothing enters the environment and the user's own packages win. Python 3.7 and
up. `program.py` starts it, `application.py` answers, `scripts.py` and `pyfunc.py` run users' models.
"""
