"""Report what is installed and which level works, also where mim_plugins itself is not installed."""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from mim_plugins.check_env import main

if __name__ == '__main__':
    sys.exit(main())
