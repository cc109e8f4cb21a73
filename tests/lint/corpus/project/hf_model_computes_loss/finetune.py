import numpy as np
from datasets import load_dataset
from modeling_pooler import PooledClassifier
from sparse_trainer import SparseTrainer
from transformers import AutoTokenizer, TrainingArguments

CHECKPOINT = "distilbert-base-uncased"


def metrics(prediction):
    logits = prediction.predictions[0]
    return {"accuracy": float((np.argmax(logits, axis=-1) == prediction.label_ids).mean())}


def main():
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    data = load_dataset("ag_news")
    data = data.map(lambda b: tokenizer(b["text"], truncation=True, padding="max_length"), batched=True)
    data = data.rename_column("label", "labels")
    trainer = SparseTrainer(
        model=PooledClassifier(CHECKPOINT, num_labels=4),
        args=TrainingArguments("out", num_train_epochs=1, report_to=[]),
        train_dataset=data["train"],
        eval_dataset=data["test"],
        compute_metrics=metrics,
        sparsity=0.02,
    )
    trainer.train()
    print(trainer.evaluate())


if __name__ == "__main__":
    main()
