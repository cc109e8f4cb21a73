"""Forecast of a series by an LSTM on sliding windows; a second head says whether it will rise."""

import argparse

import torch
import torch.nn as nn


class Forecaster(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.lstm = nn.LSTM(input_size=1, hidden_size=hidden, batch_first=True)
        self.value = nn.Linear(hidden, 1)
        self.rises = nn.Linear(hidden, 1)

    def forward(self, window):
        output, _ = self.lstm(window)
        last = output[:, -1]
        return self.value(last), self.rises(last)


def create_windows(series, lookback):
    windows = series.unfold(0, lookback + 1, 1)
    x, following = windows[:, :-1].unsqueeze(-1), windows[:, -1:]
    return x, following, (following > x[:, -1]).float()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lookback", type=int, default=12)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    time = torch.arange(400.0)
    series = torch.sin(time / 4) + 0.5 * torch.sin(time / 9 + 1) + 0.03 * torch.randn(400)
    x, y, up = create_windows(series, args.lookback)
    split = 300
    model = Forecaster()
    mse, bce = nn.MSELoss(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(15):
        model.train()
        for rows in torch.randperm(split).split(75):
            value, rises = model(x[rows])
            loss = mse(value, y[rows]) + 0.5 * bce(rises, up[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 5 != 4:
            continue
        model.eval()
        with torch.no_grad():
            value, rises = model(x[split:])
            rmse = torch.sqrt(mse(value, y[split:]))
            direction = ((rises > 0) == up[split:].bool()).float().mean()
        print(f"Epoch {epoch}: test RMSE {rmse.item():.4f}, direction right {direction.item():.3f}")

    window, forecast = x[-1:].clone(), []
    with torch.no_grad():
        for _ in range(5):
            value, _ = model(window)
            forecast.append(round(value.item(), 3))
            window = torch.cat([window[:, 1:], value.unsqueeze(1)], dim=1)
    print("next five:", forecast)


if __name__ == "__main__":
    main()
