"""Demo data from real pictures that installed wheels already hold: no download."""
from .make import DemoReport, make_demo_data
from .options import SETS, DemoOptions

__all__ = ['SETS', 'DemoOptions', 'DemoReport', 'make_demo_data']
