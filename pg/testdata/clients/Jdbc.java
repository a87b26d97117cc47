import java.sql.*;
import java.util.*;

/** Reads views and the catalog with pgjdbc, and prints what it finds. Arguments: URL, user, a view, [metadata]. */
public class Jdbc {
    static void print(String what, ResultSet r) throws SQLException {
        ResultSetMetaData m = r.getMetaData();
        List<String> lines = new ArrayList<>();
        while (r.next()) {
            StringBuilder b = new StringBuilder();
            for (int i = 1; i <= m.getColumnCount(); i++) {
                b.append(i > 1 ? "|" : "").append(r.getString(i));
            }
            lines.add(b.toString());
        }
        r.close();
        System.out.println(what + ": " + lines.size());
        for (String l : lines) {
            System.out.println("  " + l);
        }
    }

    public static void main(String[] a) throws Exception {
        try (Connection c = DriverManager.getConnection(a[0], a[1], "")) {
            String view = a[2];
            if (a.length == 3) {
                try (PreparedStatement s = c.prepareStatement("SELECT * FROM " + view + " WHERE symbol = ?")) {
                    for (int i = 0; i < 12; i++) { // after five executions results are binary
                        s.setString(1, "S1");
                        ResultSet r = s.executeQuery();
                        r.next();
                        System.out.println(r.getString(1) + " " + r.getLong(2) + " " + r.getDouble(3) + " "
                            + r.getBigDecimal(4) + " " + r.getBoolean(5) + " " + r.getTimestamp(6).toInstant());
                    }
                }
                try (PreparedStatement s = c.prepareStatement("SELECT count(*) FROM " + view
                        + " WHERE n >= ? AND avg_price < ? AND hot = ? AND last_at > ?")) {
                    for (int i = 0; i < 12; i++) {
                        s.setLong(1, 1);
                        s.setDouble(2, 5.5);
                        s.setBoolean(3, false);
                        s.setTimestamp(4, Timestamp.from(java.time.Instant.parse("2026-03-02T00:00:00Z")));
                        ResultSet r = s.executeQuery();
                        r.next();
                        System.out.println("parameters " + r.getLong(1));
                    }
                }
                c.setAutoCommit(false);
                for (int fetch : new int[] {0, 1, 9, 10, 11}) {
                    try (Statement s = c.createStatement()) {
                        s.setFetchSize(fetch);
                        ResultSet r = s.executeQuery("SELECT symbol FROM " + view);
                        int n = 0;
                        while (r.next()) {
                            n++;
                        }
                        System.out.println("fetch size " + fetch + ": " + n);
                    }
                }
                c.commit();
                c.setAutoCommit(true);
                try (Statement s = c.createStatement()) {
                    s.executeQuery("SELECT nothing FROM " + view);
                } catch (SQLException e) {
                    System.out.println("error " + e.getSQLState());
                }
                c.setReadOnly(true);
                System.out.println("valid " + c.isValid(5) + " " + c.getSchema() + " " + c.getCatalog() + " "
                    + c.getTransactionIsolation() + " " + c.getMetaData().getDatabaseMajorVersion());
            }
            DatabaseMetaData m = c.getMetaData();
            print("schemas", m.getSchemas());
            print("catalogs", m.getCatalogs());
            print("table types", m.getTableTypes());
            print("tables", m.getTables(null, "public", "%", null));
            print("tables of types", m.getTables(null, null, "%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"}));
            print("columns", m.getColumns(null, "public", view, "%"));
            print("keys", m.getPrimaryKeys(null, "public", view));
            print("imported", m.getImportedKeys(null, "public", view));
            print("exported", m.getExportedKeys(null, "public", view));
            print("indexes", m.getIndexInfo(null, "public", view, false, true));
            print("best row", m.getBestRowIdentifier(null, "public", view, 1, true));
            print("versions", m.getVersionColumns(null, "public", view));
            print("privileges", m.getTablePrivileges(null, "public", view));
            print("column privileges", m.getColumnPrivileges(null, "public", view, "%"));
            print("procedures", m.getProcedures(null, "public", "%"));
            print("functions", m.getFunctions(null, "public", "%"));
            print("types", m.getTypeInfo());
            print("udts", m.getUDTs(null, "public", "%", null));
            print("client info", m.getClientInfoProperties());
            System.out.println("keywords " + m.getSQLKeywords().length());
            System.out.println("names " + m.getMaxColumnNameLength());
        }
    }
}
