"""Measure the ViT backbone of keras-hub with a head of its own, on three backends."""

from stepmark.workloads import InputSpec, KerasModel


class HubVit(KerasModel):
    """Build a small ViT with random weights."""

    sample = InputSpec("image", (3, 32, 32), classes=10)

    def build(self, params):
        import keras
        from keras_hub.models import ViTBackbone

        backbone = ViTBackbone(
            image_shape=(32, 32, 3), patch_size=(8, 8), num_layers=2, num_heads=2, hidden_dim=64, mlp_dim=128,
            dropout_rate=0.0, attention_dropout=0.0,
        )  # fmt: skip
        first_token = keras.layers.Lambda(lambda tokens: tokens[:, 0], output_shape=(64,))(backbone.output)
        return keras.Model(backbone.input, keras.layers.Dense(10)(first_token))
