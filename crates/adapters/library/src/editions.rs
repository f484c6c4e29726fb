//! Which version of each template the program has.

/// Slugs of the templates and their fingerprints (`LibraryTemplate::fingerprint`), in the alphabetical order of the slugs. What a database
/// has by these need not be read, checked and compared at each start, which took 11 ms and kept a megabyte. A test compares them with the
/// files, and prints what belongs here.
pub const EDITIONS: [(&str, &str); 18] = [
    ("bright-corner", "171a8e550aa23912bdc9f5274ae50a0f5613d1e45e0d89c42389b8d04db51665"),
    ("cafe-jacaranda", "83c3f71f6f2038ee6415cf4a99b04fcc441b7fb6a965d250233f5b460c07116b"),
    ("casa-luciernaga", "a9cb483183f7d42de5dddc0abbe0e4f7241afb728635a8aa9b0834913272af62"),
    ("clearwater-dental", "3912c9fa376d9688f69b1397203a361207bd00346765d4b31de6b3c6ddcad341"),
    ("fathom-partners", "2d2e191ce06bc896449f95be8ea66b659606cb3d469c94cf7b70756f275a656f"),
    ("forge-gym", "6c90ab2c3e8ad92073785d38ac96dfebd67d449f02ae1fc08fcd074702e27bc8"),
    ("harbor-light", "eaddad0c6de2889287f29362fc8873ea34d0abb8fec277722702e5556aa13cae"),
    ("hartwell-law", "89c6cd89660513f06aae8164f1138755fd2bdd4286d00c57d08999c4f78f1a0b"),
    ("keystone-builders", "a4ff93dafad49380ead44e55403f06134f4f180bd0f66455442c71307d26b7ba"),
    ("millstone-bakery", "1e78621bbc65586bb19f8035a737ef6afe14ed18b475a0961ebd1c3b0f16e1e2"),
    ("northgate-homes", "7d2b218cabb515f46621cd1df1d640f5ffae5cedd16838d864c2e41b61a5291d"),
    ("relay-software", "eef91b9cde088c2cbb335bd357e7e398d2ff5caadac77585bfe783a8cc1690a2"),
    ("salon-azahar", "533ce1971d01ad884ed28d199db9a644ad19d51bfbfa8affed4c796c0de2bd8f"),
    ("stillwater-yoga", "f46111d96f0294b854a405d76bec9edf35bff567a5ce63cb9c1657106a64ec5f"),
    ("tail-and-whisker", "27ff1ef925edfe4544e7ef90b2f046d60cb22633cc84602e13bef96d6fab63d5"),
    ("trattoria-olivo", "bca07c5cbba83aaf9805157fb406ab76fba1be865d41e91f6caae51eb9055d96"),
    ("vidal-photography", "5b258ee56a9c517f77608704210f7bf6b86cd4ba84cf83509d6ce377ddd12f77"),
    ("wren-and-clay", "eb1d376652b5a3c602c4c8e157050e35b9bcfb8564590c77b8286517951bf028"),
];
