"""Mixed precision on the CPU: autocast to bfloat16 around the forward pass, a GradScaler, clipping."""

import argparse

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, in_size, out_size, num_layers=2):
        super().__init__()
        layers = []
        for _ in range(num_layers):
            layers += [nn.Linear(in_size, in_size), nn.ReLU()]
        self.stack = nn.Sequential(*layers, nn.Linear(in_size, out_size))

    def forward(self, x):
        return self.stack(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--use_amp", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    use_amp = bool(args.use_amp)
    centers = torch.randn(5, 32)
    net = Net(32, 5)
    loss_fn = nn.CrossEntropyLoss()
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=use_amp)

    for step in range(50):
        target = torch.randint(5, (40,))
        data = centers[target] + 0.8 * torch.randn(40, 32)
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16, enabled=use_amp):
            output = net(data)
            loss = loss_fn(output.float(), target)
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0)
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.4f} ({output.dtype}), scale {scaler.get_scale():.0f}")

    net.eval()
    with torch.no_grad(), torch.autocast(device_type="cpu", dtype=torch.bfloat16, enabled=use_amp):
        target = torch.randint(5, (200,))
        output = net(centers[target] + 0.8 * torch.randn(200, 32))
    nll = nn.functional.cross_entropy(output.float(), target)
    print(f"test loss {nll.item():.4f}, accuracy {(output.argmax(1) == target).float().mean().item():.3f}")


if __name__ == "__main__":
    main()
