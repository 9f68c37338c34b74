from callsmith.cli import main

main()
