"""Measure BERT of transformers, made from a configuration with random weights."""

from stepmark.workloads import InputSpec, TorchModel


class Bert(TorchModel):
    """Build a small BERT that classifies sequences."""

    sample = InputSpec("tokens", (64,), classes=4, vocabulary=1000)

    def build(self, params):
        from transformers import BertConfig, BertForSequenceClassification

        config = BertConfig(
            vocab_size=1000, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512,
            num_labels=4, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        return BertForSequenceClassification(config)
