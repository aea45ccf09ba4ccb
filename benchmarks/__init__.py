"""How fast it is: ``python -m benchmarks``. One file per question; its docstring says what was found."""
