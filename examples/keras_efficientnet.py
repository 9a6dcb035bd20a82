"""Measure EfficientNet-B0 of keras.applications on three backends."""

from stepmark.workloads import InputSpec, KerasModel


class EfficientNet(KerasModel):
    """Build EfficientNet-B0 for small images, with random weights and without what is random in training."""

    sample = InputSpec("image", (3, 64, 64), classes=10)

    def build(self, params):
        import keras

        model = keras.applications.EfficientNetB0(
            input_shape=(64, 64, 3), weights=None, classes=10, classifier_activation=None
        )
        for layer in model.layers:
            if hasattr(layer, "rate"):
                layer.rate = 0.0
        return model
