from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoModel
from transformers.utils import ModelOutput


@dataclass
class PoolerOutput(ModelOutput):
    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    attention: torch.Tensor | None = None


class PooledClassifier(nn.Module):
    def __init__(self, checkpoint: str, num_labels: int):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(checkpoint)
        hidden = self.encoder.config.hidden_size
        self.score = nn.Linear(hidden, 1)
        self.classifier = nn.Linear(hidden, num_labels)

    def forward(self, input_ids, attention_mask, labels=None):
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        score = self.score(hidden).squeeze(-1).masked_fill(attention_mask == 0, float("-inf"))
        attention = torch.softmax(score, dim=-1)
        logits = self.classifier(torch.einsum("bt,btd->bd", attention, hidden))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits, labels)
        return PoolerOutput(loss=loss, logits=logits, attention=attention)
