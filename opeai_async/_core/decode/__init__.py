"""From the bytes of a body to its chunks.

Each module here has one idea, and ``parser.py`` puts them together. What every event of a fast stream goes through is
``burst.py`` and the *tiers*. A tier is a way to decode: each refuses what it cannot read exactly as the next one would,
and the work is handed down until one takes it:

    TEMPLATE --unlike--> PLAIN --rare field--> STRICT --unnamed field, met before--> WIDE
                                                 |                                    |
                                                 +--refused--> TOLERANT <---refused---+
                                                      (one event; then back)

    tier      reads with                   takes                                   leaves it when
    --------  ---------------------------  --------------------------------------  ------------------------------
    TEMPLATE  one comparison of a read     8 and more events that differ in a      a read is unlike the template;
              with what events share       text only                               the next like it makes another
    PLAIN     the plain twin of the type   what most streams carry                 a rare field: for good
    STRICT    the strict twin              all fields of the API, nothing odd      a vendor field met before
    WIDE      a wide twin                  the vendor fields it has learned, too   it learns more: a wider one
    TOLERANT  ``_core/dialect``            everything, or says why not             the event is read; it stays if
                                                                                   half a character is missing

``burst.py`` has TEMPLATE, ``decoder.py`` the others. A *twin* is a private Struct with the fields of a public one that
refuses more than that: unknown fields, and known oddities. So one typed decode does the work and all the checking.
"""
