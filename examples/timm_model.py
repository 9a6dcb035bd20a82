"""Measure an image model of timm, by its name there, with random weights."""

from stepmark.workloads import InputSpec, Params, TorchModel


class TimmParams(Params):
    """Choose the model."""

    name: str = "vit_tiny_patch16_224"


class Timm(TorchModel):
    """Build the model for small images. timm's dropout has rate 0 unless it is asked for."""

    sample = InputSpec("image", (3, 64, 64), classes=10)

    def build(self, params: TimmParams):
        import timm

        return timm.create_model(params.name, pretrained=False, num_classes=10, img_size=64)
