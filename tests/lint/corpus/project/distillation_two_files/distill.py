import torch
from kd import DistillationLoss
from student import Student
from teacher import Teacher


def main(steps=500):
    teacher, student = Teacher(64, 10), Student(64, 10)
    criterion = DistillationLoss()
    optimizer = torch.optim.Adam(student.parameters())
    for step in range(steps):
        x, y = torch.randn(128, 64), torch.randint(10, (128,))
        loss, gap = criterion(student(x), teacher.soften(x, criterion.t), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item(), gap.item())


if __name__ == "__main__":
    main()
