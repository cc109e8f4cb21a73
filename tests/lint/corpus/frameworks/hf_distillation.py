# case: distilling a sequence classifier: KLDivLoss on log-softmax and softmax, the model's own loss besides
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments


class DistillationTrainingArguments(TrainingArguments):
    def __init__(self, *args, alpha=0.5, temperature=2.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.alpha = alpha
        self.temperature = temperature


class DistillationTrainer(Trainer):
    def __init__(self, *args, teacher_model=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.teacher = teacher_model
        self.teacher.eval()

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        student_out = model(**inputs)
        student_loss = student_out.loss
        with torch.no_grad():
            teacher_out = self.teacher(**inputs)

        t = self.args.temperature
        kl = nn.KLDivLoss(reduction="batchmean")
        soft = kl(F.log_softmax(student_out.logits / t, dim=-1), F.softmax(teacher_out.logits / t, dim=-1))
        loss = self.args.alpha * student_loss + (1.0 - self.args.alpha) * t**2 * soft
        return (loss, student_out) if return_outputs else loss


def kd_log_target(student_logits, teacher_logits, labels, t=4.0):
    log_p = F.log_softmax(student_logits / t, dim=1)
    log_q = F.log_softmax(teacher_logits / t, dim=1)
    soft = F.kl_div(log_p, log_q, log_target=True, reduction="batchmean") * t * t
    hard = F.cross_entropy(student_logits, labels)
    return 0.7 * soft + 0.3 * hard


def teacher_as_soft_labels(student_logits, teacher_logits):
    # cross_entropy takes class probabilities as its target; only its input has to be logits
    return F.cross_entropy(student_logits, teacher_logits.softmax(dim=-1))


def load_pair(student, teacher, num_labels):
    make = AutoModelForSequenceClassification.from_pretrained
    return make(student, num_labels=num_labels), make(teacher, num_labels=num_labels)
