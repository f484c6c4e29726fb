//! Which statements only read.

/// The functions that a plain read may call, and the words that may stand before a parenthesis. Each function is immutable or stable in
/// Postgres: it changes and locks nothing. Ours are not among them, nor is one that takes a number, a setting or a lock.
const KNOWN: [&str; 34] = [
    "all", "and", "any", "as", "avg", "between", "by", "case", "cast", "coalesce", "count", "else", "escape",
    "except", "exists", "from", "having", "in", "join", "lower", "max", "min", "not", "on", "or", "over",
    "select", "substr", "sum", "then", "union", "upper", "when", "where",
];

/// Whether a statement only reads, and locks nothing: a SELECT as SeaORM writes it that has no word of [`strange_word`]. What we
/// write ourselves is in small letters.
pub(super) fn is_plain_read(sql: &str) -> bool {
    sql.starts_with("SELECT ") && strange_word(sql).is_none()
}

/// The first word by which a SELECT may do more than to read: what locks rows or makes a table, or else a function that is not known to
/// change nothing. Some that it finds are none: it does not tell words from texts.
pub fn strange_word(sql: &str) -> Option<&str> {
    let mut words = sql.split(|c: char| !is_of_word(c));
    if let Some(word) = words.find(|word| is_one_of(word, &["for", "into"])) {
        return Some(word);
    }
    let before = sql.split_inclusive('(').filter_map(|piece| piece.strip_suffix('('));
    let mut called = before.filter_map(|before| before.trim_end().rsplit(|c: char| !is_of_word(c)).next());
    called.find(|word| !word.is_empty() && !is_one_of(word, &KNOWN))
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

/// Part of a name, in quotation marks or with its schema.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '"' | '.' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_and_locks_nothing_needs_no_transaction() {
        for plain in [
            r#"SELECT "sites"."id" FROM "sites" WHERE "sites"."tenant_id" = $1"#,
            r#"SELECT "a"."id" FROM "a" WHERE "a"."state" IN ($1, $2) AND ("a"."id" > $3 OR LOWER("a"."name") LIKE $4 ESCAPE '\')"#,
            r#"SELECT COUNT(*) AS num_items FROM (SELECT "a"."id" FROM "a" WHERE EXISTS(SELECT 1 FROM "b")) AS "sub_query""#,
            r#"SELECT "a"."id", coalesce((select name from b where b.id = a.id), 'for_sale') AS "name" FROM "a" WHERE ("a"."x", "a"."y") = ($1, $2)"#,
            r#"SELECT "a"."before", max(number) over (partition by page_id) AS "newest" FROM "a""#,
        ] {
            assert!(is_plain_read(plain), "{plain}: {:?}", strange_word(plain));
        }
        for other in [
            r#"SELECT "sites"."id" FROM "sites" WHERE "sites"."id" = $1 FOR NO KEY UPDATE"#,
            r#"SELECT "sites"."id" FROM "sites" FOR UPDATE"#,
            "SELECT id FROM sites\nfor share",
            "SELECT id INTO copies FROM sites",
            "SELECT pg_advisory_xact_lock($1)",
            "SELECT nextval('numbers')",
            "SELECT pg_catalog.nextval ('numbers')",
            r#"SELECT "lower"($1)"#,
            r#"SELECT "a"."id" FROM "a" WHERE lower(set_config('a', $1, true)) = $1"#,
            "SELECT 1 FROM ours($1)",
            "select pg_advisory_xact_lock($1)",
            r#"INSERT INTO "sites" ("id") VALUES ($1)"#,
            r#"WITH "part_0" AS (INSERT INTO "a" ("id") VALUES ($1)) SELECT 1"#,
            "update sites set version = version + 1",
        ] {
            assert!(!is_plain_read(other), "{other}");
        }
        assert_eq!(strange_word("SELECT lower(nextval($1))"), Some("nextval"));
        assert_eq!(strange_word("SELECT a FROM b WHERE lower(a) = $1 FOR UPDATE"), Some("FOR"));
    }
}
