"""What benchmarks/robustness.py runs: small networks of every common kind, their task, their training, treatments."""
