"""Makes model/model.joblib: a linear regression on ten columns of made-up data, the same file at every run.

Run it with the packages of conda.yml (scikit-learn 0.24.2), so that the model loads where sklearn_env is:

    uv run --no-project -p 3.7 --with scikit-learn==0.24.2 --with numpy==1.21.2 --with joblib==1.0.1 make_model.py
"""

from pathlib import Path

import joblib
import numpy
from sklearn.linear_model import LinearRegression

WEIGHTS = numpy.arange(1, 11) / 10


def main():
    """Fit on 200 rows and write the model."""
    random = numpy.random.RandomState(7)
    columns = random.uniform(0, 10, size=(200, 10))
    target = columns @ WEIGHTS + 3 + random.normal(0, 0.1, size=200)
    model = LinearRegression().fit(columns, target)
    file = Path(__file__).parent / "model" / "model.joblib"
    file.parent.mkdir(exist_ok=True)
    joblib.dump(model, str(file), protocol=4)
    print(f"{file.name}: R2 {model.score(columns, target):.4f}")


if __name__ == "__main__":
    main()
