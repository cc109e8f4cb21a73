from datasets import load_dataset
from modeling_pooler import PooledClassifier
from transformers import AutoTokenizer, TrainingArguments
from weighted_trainer import WeightedTrainer

CHECKPOINT = "distilbert-base-uncased"


def main():
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    data = load_dataset("ag_news")

    def encode(batch):
        return tokenizer(batch["text"], truncation=True, padding="max_length", max_length=128)

    data = data.map(encode, batched=True).rename_column("label", "labels")
    args = TrainingArguments("out", per_device_train_batch_size=32, num_train_epochs=2, report_to=[])
    trainer = WeightedTrainer(
        model=PooledClassifier(CHECKPOINT, num_labels=4),
        args=args,
        train_dataset=data["train"],
        eval_dataset=data["test"],
        class_weights=[1.0, 1.0, 0.8, 1.2],
    )
    trainer.train()


if __name__ == "__main__":
    main()
