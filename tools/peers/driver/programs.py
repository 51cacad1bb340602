"""The programs that are compared."""

from dataclasses import dataclass, field

from .environments import build
from .paths import PEERS

OURS = "candle-keras"
LAX_SCAN = "JAX, an epoch in one lax.scan"
KERAS_ON_JAX = "Keras on JAX"
KERAS_ON_TENSORFLOW = "Keras on TensorFlow"
PYTORCH = "PyTorch, tensors in memory"
PYTORCH_COMPILED = "PyTorch, compiled"
PYTORCH_LOADER = "PyTorch, DataLoader"
PLAIN_CANDLE = "plain candle loop"
PLAIN_CANDLE_ON_ONE_THREAD = "plain candle loop, 1 thread"


@dataclass
class Program:
    """How a program is started: a crate of ours, or a script in an environment."""

    name: str
    crate: str = ""
    environment: str = ""
    script: tuple = ()
    variables: dict = field(default_factory=dict)

    def command(self, environments):
        """The words that start it; the task comes after the first two of a script, or the first."""
        if self.crate:
            return [build(self.crate)], []
        script, *arguments = self.script
        return [environments.python(self.environment), PEERS / "programs" / script], arguments


PROGRAMS = {
    program.name: program
    for program in [
        Program(OURS, crate="ours"),
        Program(LAX_SCAN, environment="jax", script=("jax_scan.py",)),
        Program(
            KERAS_ON_JAX,
            environment="jax",
            script=("keras_fit.py",),
            variables={"KERAS_BACKEND": "jax"},
        ),
        Program(PYTORCH, environment="torch", script=("pytorch.py", "memory")),
        Program(PYTORCH_COMPILED, environment="torch", script=("pytorch.py", "compiled")),
        Program(PYTORCH_LOADER, environment="torch", script=("pytorch.py", "loader")),
        Program(
            KERAS_ON_TENSORFLOW,
            environment="tensorflow",
            script=("keras_fit.py",),
            variables={"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        ),
        Program(PLAIN_CANDLE, crate="plain_candle"),
        Program(
            PLAIN_CANDLE_ON_ONE_THREAD,
            crate="plain_candle",
            variables={"RAYON_NUM_THREADS": "1"},
        ),
    ]
}
