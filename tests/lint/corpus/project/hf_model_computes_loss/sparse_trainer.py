from transformers import Trainer


class SparseTrainer(Trainer):
    """Adds a price for attention that is spread out."""

    def __init__(self, *args, sparsity=0.01, **kwargs):
        super().__init__(*args, **kwargs)
        self.sparsity = sparsity

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        spread = 1 - outputs.attention.pow(2).sum(dim=-1)
        loss = outputs.loss + self.sparsity * spread.mean()
        return (loss, outputs) if return_outputs else loss
