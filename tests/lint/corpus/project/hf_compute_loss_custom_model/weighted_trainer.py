import torch
from torch import nn
from transformers import Trainer


class WeightedTrainer(Trainer):
    def __init__(self, *args, class_weights=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.class_weights = class_weights

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        weight = None
        if self.class_weights is not None:
            weight = torch.tensor(self.class_weights, device=labels.device)
        loss_fct = nn.CrossEntropyLoss(weight=weight)
        loss = loss_fct(outputs["logits"], labels)  # expect: LH101
        return (loss, outputs) if return_outputs else loss
