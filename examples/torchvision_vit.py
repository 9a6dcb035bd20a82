"""Measure a vision transformer of torchvision: `stepmark run vit.yaml --workload torchvision_vit.py:Vit`."""

from stepmark.workloads import InputSpec, TorchModel


class Vit(TorchModel):
    """Build a small ViT with random weights."""

    sample = InputSpec("image", (3, 64, 64), classes=10)

    def build(self, params):
        from torchvision.models import VisionTransformer

        return VisionTransformer(64, 16, num_layers=4, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=10)
