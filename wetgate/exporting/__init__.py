"""Models in other shapes than the contract's: TorchScript, and a colour table."""
