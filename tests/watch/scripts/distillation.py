"""Knowledge distillation: first a teacher, then a student on its soft targets and on the labels."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


def loss_fn_kd(outputs, labels, teacher_outputs, alpha=0.7, T=4.0):
    """KL between the softened outputs times T * T, which keeps its gradients on one scale."""
    soft = F.kl_div(
        F.log_softmax(outputs / T, dim=1), F.softmax(teacher_outputs / T, dim=1), reduction="batchmean"
    )
    return soft * (alpha * T * T) + F.cross_entropy(outputs, labels) * (1.0 - alpha)


def batches(x, y, size):
    order = torch.randperm(len(x))
    for i in range(0, len(x), size):
        yield x[order[i : i + size]], y[order[i : i + size]]


def fit_teacher(teacher, x, y, epochs):
    optimizer = optim.Adam(teacher.parameters(), lr=1e-2)
    teacher.train()
    for _ in range(epochs):
        for data, labels in batches(x, y, 40):
            loss = F.cross_entropy(teacher(data), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


def fit_student(student, teacher, x, y, epochs):
    optimizer = optim.Adam(student.parameters(), lr=1e-2)
    teacher.eval()
    for _ in range(epochs):
        student.train()
        for data, labels in batches(x, y, 40):
            with torch.no_grad():
                teacher_outputs = teacher(data)
            loss = loss_fn_kd(student(data), labels, teacher_outputs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


def evaluate(model, x, y):
    model.eval()
    with torch.no_grad():
        logits = model(x)
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    centers = torch.randn(8, 16)
    labels = torch.randint(8, (520,))
    data = centers[labels] + 0.6 * torch.randn(520, 16)
    x, y, x_val, y_val = data[:400], labels[:400], data[400:], labels[400:]

    teacher = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 8))
    student = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8))
    print(f"teacher, last batch: {fit_teacher(teacher, x, y, 3):.4f}")
    print(f"student, last batch: {fit_student(student, teacher, x, y, 4):.4f}")
    for name, model in (("teacher", teacher), ("student", student)):
        loss, accuracy = evaluate(model, x_val, y_val)
        print(f"{name}: validation loss {loss:.4f}, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
