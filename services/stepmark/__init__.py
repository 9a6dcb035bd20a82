"""stepmark measures which framework, strategy and settings train a model fastest, and how sure that is.

The journey of one run, and the package that owns each part of it:

    scenario file -> Scenario -> Plan -> Ray Train run -> launches -> LaunchRecords -> analysis -> verdicts
                     scenario/   plan/   orchestrate/     launch/     results/         analysis/   report/
                                                          engines/ x workloads/

Imports go one way along this line; tests/unit/test_imports_go_one_way.py holds the table.
"""

__version__ = "0.1.0"
