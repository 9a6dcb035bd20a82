"""In a process of the engine tf-keras, `keras` is Keras 2, and what only Keras 3 has is missing with a reason."""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

from conftest import needs
from stepmark import catalog

CODE = """
import json, sys
from stepmark import catalog

catalog.load_engine("tf-keras").import_framework()
import keras
import keras.layers
import tensorflow
from keras.models import Sequential


def refused(statement):
    try:
        exec(statement)
    except (AttributeError, ImportError) as error:
        return str(error)


embedding = keras.layers.ReversibleEmbedding(5, 3)
tokens = tensorflow.constant([[1, 4]])
vectors = embedding(tokens)
expected = vectors @ tensorflow.transpose(embedding.embeddings)
print(json.dumps({
    "version": keras.__version__,
    "same": [keras.layers.Dense is tensorflow.keras.layers.Dense, keras.Sequential is Sequential],
    "loaded": [name for name in sys.modules if name.startswith("keras.src")],
    "names": [keras.layers.Dense(1).name, keras.ops.gelu(1.0).numpy().item()],
    "reversed": tensorflow.reduce_max(tensorflow.abs(embedding(vectors, reverse=True) - expected)).numpy().item(),
    "missing": [refused("keras.ops.relu"), refused("import keras.distribution"), refused("from keras import random")],
}))
"""


@cache
def found() -> Any:
    support = catalog.load_engine("tf-keras").SUPPORT
    needs(*support.requires)
    environment = os.environ | support.environment
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_keras_is_the_package_tf_keras_and_keras_3_is_not_loaded() -> None:
    assert found()["version"].startswith("2.")
    assert found()["same"] == [True, True]
    assert found()["loaded"] == []


def test_the_names_of_keras_3_that_models_use_do_what_they_do_there() -> None:
    assert found()["reversed"] < 1e-6
    assert abs(found()["names"][1] - 0.8413) < 1e-4  # the exact form of GELU


def test_what_keras_2_lacks_is_missing_in_words() -> None:
    operation, module, name = found()["missing"]
    assert operation == "Keras 2, which the engine tf-keras trains, has no keras.ops.relu"
    assert "keras.distribution" in module
    assert "'random' from 'keras'" in name
