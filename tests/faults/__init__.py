"""What must not be lost when something dies: each test breaks the hive on purpose, and most ask for the promise afterwards."""
