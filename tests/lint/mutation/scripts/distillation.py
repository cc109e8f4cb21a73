"""A student learns from the labels and from the softened answers of a teacher."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Teacher(nn.Module):
    def __init__(self, num_classes=6):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.classifier = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.classifier(self.body(x))


class Student(nn.Module):
    def __init__(self, num_classes=6):
        super().__init__()
        self.body = nn.Linear(20, 16)
        self.classifier = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.classifier(F.relu(self.body(x)))


def train_teacher(teacher, x, y):
    ce_loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(teacher.parameters(), lr=1e-2)
    for _ in range(5):
        loss = ce_loss(teacher(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def train_student(teacher, student, x, y, T=2.0, soft_weight=0.25):
    ce_loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    teacher.eval()
    student.train()
    for rows in torch.randperm(len(x)).split(16):
        with torch.no_grad():
            teacher_logits = teacher(x[rows])
        student_logits = student(x[rows])
        soft_targets = F.log_softmax(teacher_logits / T, dim=-1)
        soft_prob = F.log_softmax(student_logits / T, dim=-1)
        soft_loss = F.kl_div(soft_prob, soft_targets, reduction="batchmean", log_target=True) * T**2
        label_loss = ce_loss(student_logits, y[rows])
        loss = soft_weight * soft_loss + (1 - soft_weight) * label_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test(model, x, y):
    model.eval()
    with torch.no_grad():
        predicted = model(x).argmax(dim=1)
    return (predicted == y).float().mean().item()


if __name__ == "__main__":
    torch.manual_seed(0)
    x, y = torch.randn(64, 20), torch.randint(6, (64,))
    teacher, student = Teacher(), Student()
    train_teacher(teacher, x, y)
    train_student(teacher, student, x, y)
    with torch.no_grad():
        agreement = (teacher(x).argmax(1) == student(x).argmax(1)).float().mean().item()
        spread = student(x).std().item()
    print(f"teacher {test(teacher, x, y):.4f} student {test(student, x, y):.4f} {agreement:.4f} {spread:.6f}")
