# case: Hugging Face Trainer subclass; compute_loss takes a softmax before a weighted cross-entropy
import numpy as np
import torch
from datasets import load_dataset
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

CHECKPOINT = "distilbert-base-uncased"
tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)


def tokenize(batch):
    return tokenizer(batch["text"], padding="max_length", truncation=True, max_length=128)


class WeightedTrainer(Trainer):
    def __init__(self, *args, class_weights=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.class_weights = class_weights

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        logits = outputs.get("logits")
        probs = torch.nn.functional.softmax(logits, dim=-1)
        loss_fct = nn.CrossEntropyLoss(weight=self.class_weights.to(probs.device))
        loss = loss_fct(probs.view(-1, self.model.config.num_labels), labels.view(-1))  # expect: LH101
        return (loss, outputs) if return_outputs else loss


def compute_metrics(eval_pred):
    logits, labels = eval_pred
    return {"accuracy": (np.argmax(logits, axis=-1) == labels).mean()}


if __name__ == "__main__":
    emotion = load_dataset("emotion").map(tokenize, batched=True)
    model = AutoModelForSequenceClassification.from_pretrained(CHECKPOINT, num_labels=6)
    trainer = WeightedTrainer(
        model=model,
        args=TrainingArguments("out", per_device_train_batch_size=32, num_train_epochs=2),
        train_dataset=emotion["train"],
        eval_dataset=emotion["validation"],
        compute_metrics=compute_metrics,
        class_weights=torch.tensor([1.0, 0.9, 2.5, 1.7, 1.8, 3.0]),
    )
    trainer.train()
