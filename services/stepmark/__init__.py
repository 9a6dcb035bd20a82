"""stepmark measures which framework, strategy and settings train a model fastest, and how certain that result is.

A run passes through these packages, and each of them owns one part:

    scenario file -> Scenario -> Plan -> Ray Train run -> launches -> LaunchRecords -> analysis -> verdicts
                     scenario/   plan/   orchestrate/     launch/     results/         analysis/   report/
                                                          engines/ x workloads/

Imports go only in one direction along this line; tests/unit/test_imports_go_one_way.py holds the table.
"""

__version__ = "0.1.0"
