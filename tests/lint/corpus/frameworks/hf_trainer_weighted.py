# case: Trainer.compute_loss overrides that take the logits as they are; softmax and sigmoid for reports only
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForSequenceClassification, Trainer

NUM_LABELS = 3


class ImbalancedTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.get("labels")
        outputs = model(**inputs)
        logits = outputs.get("logits")
        weight = torch.tensor([1.0, 2.0, 3.0], device=model.device)
        loss_fct = nn.CrossEntropyLoss(weight=weight)
        loss = loss_fct(logits.view(-1, NUM_LABELS), labels.view(-1))
        return (loss, outputs) if return_outputs else loss


class MultilabelTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = F.binary_cross_entropy_with_logits(outputs.logits, labels.float())
        if return_outputs:
            return loss, outputs
        return loss


class ReportingTrainer(Trainer):
    """Leaves the loss to the model, which computes it from the labels."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        loss = outputs.loss
        if self.state.global_step % 100 == 0:
            entropy = torch.distributions.Categorical(logits=outputs.logits).entropy()
            self.log({"entropy": entropy.mean().item()})
        return (loss, outputs) if return_outputs else loss


def multilabel_metrics(p):
    probs = torch.sigmoid(torch.as_tensor(p.predictions))
    y_pred = (probs > 0.5).int()
    labels = torch.as_tensor(p.label_ids).int()
    return {"exact_match": (y_pred == labels).all(dim=1).float().mean().item()}


@torch.no_grad()
def classify(text, tokenizer, path):
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=NUM_LABELS)
    model.eval()
    batch = tokenizer(text, return_tensors="pt", padding=True, truncation=True)
    probs = model(**batch).logits.softmax(dim=-1)
    score, label = probs.max(dim=-1)
    return [(model.config.id2label[i.item()], s.item()) for i, s in zip(label, score, strict=True)]
