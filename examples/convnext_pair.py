"""Prove and time ConvNeXt as torchvision and keras.applications have it: two files by others, matched by a map."""

from stepmark.workloads import InputSpec, ModelPair, Params, Place

BLOCK = {
    "depthwise_conv": "block.0",
    "layernorm": "block.2",
    "pointwise_conv_1": "block.3",
    "pointwise_conv_2": "block.5",
}


class ConvNextParams(Params):
    """Set the size of the model. The defaults are those of ConvNeXt-Tiny."""

    blocks: int = 3
    """Blocks of the first, second and last stage; the third has three times as many."""
    width: int = 96
    """Channels of the first stage; each further stage has twice as many."""

    @property
    def stages(self):
        """Return blocks and channels of each stage."""
        return [(self.blocks * (3 if stage == 2 else 1), self.width * 2**stage) for stage in range(4)]


class ConvNext(ModelPair):
    """Build ConvNeXt without stochastic depth."""

    sample = InputSpec("image", (3, 64, 64), classes=10)

    def build_torch(self, params: ConvNextParams):
        from torchvision.models.convnext import CNBlockConfig, ConvNeXt

        after = [width for _, width in params.stages[1:]] + [None]
        stages = [CNBlockConfig(width, n, depth) for (depth, width), n in zip(params.stages, after, strict=True)]
        return ConvNeXt(stages, stochastic_depth_prob=0.0, num_classes=10)

    def build_keras(self, params):
        from keras.src.applications.convnext import ConvNeXt  # keras.applications has only the five published sizes.

        return ConvNeXt(
            depths=[depth for depth, _ in params.stages], projection_dims=[width for _, width in params.stages],
            input_shape=(64, 64, 3), classes=10, classifier_activation=None, name="net", weights=None,
            drop_path_rate=0.0, include_preprocessing=False,
        )  # fmt: skip

    def names(self, params):
        found = {"net_head_layernorm": "classifier.0", "net_head_dense": "classifier.2"}
        found |= {"net_stem/net_stem_conv": "features.0.0", "net_stem/net_stem_layernorm": "features.0.1"}
        for stage, (depth, width) in enumerate(params.stages):
            for part, name in enumerate(("layernorm", "conv") if stage else ()):
                down = f"net_downsampling_block_{stage - 1}"
                found[f"{down}/{down.replace('block', name)}"] = f"features.{2 * stage}.{part}"
            for block in range(depth):
                keras, torch = f"net_stage_{stage}_block_{block}", f"features.{2 * stage + 1}.{block}"
                found |= {f"{keras}_{name}": f"{torch}.{module}" for name, module in BLOCK.items()}
                found[f"{keras}_layer_scale"] = Place(f"{torch}.layer_scale", shape=(width, 1, 1))
        return found
