import sys

from keras_pretext.cli import main

if __name__ == "__main__":
    sys.exit(main())
