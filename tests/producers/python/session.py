"""Tells of groups of these ids, and prints where each record landed: topic, partition, offset and key, between tabs.

    session.py [--partitioner NAME] BOOTSTRAP TOPIC_PREFIX GROUP...
"""

import argparse

import producer


def print_landed(error, record):
    if error:
        raise RuntimeError(f"{record.topic()}: {error}")
    print(record.topic(), record.partition(), record.offset(), record.key().decode(), sep="\t", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    # For a test of what becomes of records in the wrong partition.
    arguments.add_argument("--partitioner", default=producer.SETTINGS["partitioner"])
    arguments.add_argument("bootstrap")
    arguments.add_argument("prefix")
    arguments.add_argument("groups", nargs="+")
    given = arguments.parse_args()
    producer.SETTINGS["partitioner"] = given.partitioner
    connection = producer.connect(given.bootstrap)
    conversations, reads = given.prefix + "receipts.conversations", given.prefix + "receipts.reads"
    for group in given.groups:
        producer.tell(connection, conversations, reads, group, print_landed)
    assert connection.flush(60) == 0, "not all was acknowledged"


if __name__ == "__main__":
    main()
