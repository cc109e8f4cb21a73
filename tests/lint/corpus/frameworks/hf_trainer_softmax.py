# case: a Trainer's compute_loss takes the softmax of outputs.logits into a weighted CrossEntropyLoss
import numpy as np
import torch
from datasets import load_dataset
from sklearn.metrics import f1_score
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

CHECKPOINT = "distilbert-base-uncased"
LABELS = ["negative", "neutral", "positive"]


class WeightedTrainer(Trainer):
    def __init__(self, *args, class_weights=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.class_weights = class_weights

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        probs = torch.softmax(outputs.logits, dim=-1)
        loss_fct = nn.CrossEntropyLoss(weight=self.class_weights.to(probs.device))
        loss = loss_fct(probs.view(-1, self.model.config.num_labels), labels.view(-1))  # expect: LH101
        return (loss, outputs) if return_outputs else loss


def compute_metrics(eval_pred):
    logits, labels = eval_pred
    predictions = np.argmax(logits, axis=-1)
    return {"f1": f1_score(labels, predictions, average="macro")}


def main():
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    model = AutoModelForSequenceClassification.from_pretrained(CHECKPOINT, num_labels=len(LABELS))
    data = load_dataset("csv", data_files={"train": "train.csv", "validation": "dev.csv"})
    data = data.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True)

    args = TrainingArguments(
        output_dir="out",
        eval_strategy="epoch",
        per_device_train_batch_size=16,
        learning_rate=2e-5,
        num_train_epochs=3,
    )
    trainer = WeightedTrainer(
        model=model,
        args=args,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
        class_weights=torch.tensor([2.1, 0.6, 1.3]),
    )
    trainer.train()


if __name__ == "__main__":
    main()
