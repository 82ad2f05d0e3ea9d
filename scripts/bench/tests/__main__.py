"""Runs the measurement's tests, and then the smoke run unless told --no-smoke; the last line is "N passed, N failed"."""

import argparse
import pathlib
import sys
import unittest

from . import smoke


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-smoke", action="store_true", help="leave out the run with a real broker and generator")
    args = parser.parse_args()
    here = pathlib.Path(__file__).resolve().parent
    suite = unittest.TestLoader().discover(str(here), top_level_dir=str(here.parent.parent))
    if not args.no_smoke:
        suite.addTests(unittest.TestLoader().loadTestsFromModule(smoke))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    # A test that was skipped did not pass.
    failed = len(result.failures) + len(result.errors) + len(result.skipped) + len(result.unexpectedSuccesses)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 0 if failed == 0 and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
